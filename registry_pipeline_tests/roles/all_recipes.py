"""All recipes of cases."""

from __future__ import annotations

from registry_pipeline_tests.roles.recipes_of_aliases import RECIPES as OF_ALIASES
from registry_pipeline_tests.roles.recipes_of_change import RECIPES as OF_CHANGE
from registry_pipeline_tests.roles.recipes_of_form import RECIPES as OF_FORM
from registry_pipeline_tests.roles.recipes_of_ids import RECIPES as OF_IDS
from registry_pipeline_tests.roles.recipes_of_surfaces import RECIPES as OF_SURFACES
from registry_pipeline_tests.roles.recipes_of_text import RECIPES as OF_TEXT

RECIPES = (*OF_IDS, *OF_ALIASES, *OF_SURFACES, *OF_CHANGE, *OF_FORM, *OF_TEXT)
