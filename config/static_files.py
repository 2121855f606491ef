"""Static files outside DEBUG: compressed, with content hashes in their names so that browsers cache them for ever."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedModulesStorage(CompressedManifestStaticFilesStorage):
    """Rewrites imports of JavaScript modules to hashed names, too.

    Otherwise a release would mix with cached modules of the previous one. Circular imports are impossible: a name would
    depend on itself.
    """

    support_js_module_import_aggregation = True
