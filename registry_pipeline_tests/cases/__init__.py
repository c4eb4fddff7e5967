"""Cases as folders: one for each way to fail, others for valid input and warnings."""
