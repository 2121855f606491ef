"""Static files outside DEBUG."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedModulesStorage(CompressedManifestStaticFilesStorage):
    """Rewrites imports of JavaScript modules to hashed names, else releases would mix in caches.

    Circular imports are impossible: a name would depend on itself.
    """

    support_js_module_import_aggregation = True
