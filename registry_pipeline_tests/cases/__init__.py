"""Cases as folders: one for each way to fail, beside good ones and warnings."""
