from registry_pipeline.api import ActiveRegistry as ActiveRegistry
from registry_pipeline.api import OpenRepository as OpenRepository
from registry_pipeline.api import RepositoryStatus as RepositoryStatus
from registry_pipeline.api import Table as Table
from registry_pipeline.api import open_repository as open_repository

__all__ = ["ActiveRegistry", "OpenRepository", "RepositoryStatus", "Table", "open_repository"]
