"""Static files outside of DEBUG: compressed, and named by their content so that browsers may keep them for ever."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedModulesStorage(CompressedManifestStaticFilesStorage):
    """Also rewrites the imports of JavaScript modules to hashed names.

    Without that a release would mix with modules that browsers keep of the release before. Modules must not import
    each other in a circle: a name then depends on itself.
    """

    support_js_module_import_aggregation = True
