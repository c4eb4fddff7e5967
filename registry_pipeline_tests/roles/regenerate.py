"""Write the case folders of `cases/roles` anew from their recipes: python -m registry_pipeline_tests.roles.regenerate.

What is expected comes from the recipes and never from the code that is tested.
"""

from __future__ import annotations

import shutil

from registry_pipeline_tests.roles.all_recipes import RECIPES
from registry_pipeline_tests.roles.recipes import CASES, write

if __name__ == "__main__":
    shutil.rmtree(CASES, ignore_errors=True)
    for recipe in RECIPES:
        write(recipe)
