"""Signing in at the desk with a one-time code, or by single sign-on; needs the extra `sign-in`."""

from config.environment import env
from config.settings.base import INSTALLED_APPS, MIDDLEWARE

# Staff log in at /admin/ only, with a one-time code.
SECOND_FACTOR = env.bool("SECOND_FACTOR", default=False)
# Single sign-on by OpenID Connect; empty: none. Accounts are matched by e-mail and made by an administrator.
OIDC_RP_CLIENT_ID = env.str("OIDC_RP_CLIENT_ID", default="")
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
if SECOND_FACTOR:
    INSTALLED_APPS.extend(["django_otp", "django_otp.plugins.otp_totp", "django_otp.plugins.otp_static"])
    MIDDLEWARE.insert(
        MIDDLEWARE.index("django.contrib.auth.middleware.AuthenticationMiddleware") + 1,
        "django_otp.middleware.OTPMiddleware",
    )
    OTP_TOTP_ISSUER = "Order pipeline"
    AUTHENTICATION_BACKENDS = ["accounts.sign_in.PasswordBackend"]
if OIDC_RP_CLIENT_ID:
    INSTALLED_APPS.extend(["mozilla_django_oidc"])
    AUTHENTICATION_BACKENDS.append("config.single_sign_on.Backend")
    OIDC_RP_CLIENT_SECRET = env.str("OIDC_RP_CLIENT_SECRET")
    OIDC_OP_AUTHORIZATION_ENDPOINT = env.str("OIDC_OP_AUTHORIZATION_ENDPOINT")
    OIDC_OP_TOKEN_ENDPOINT = env.str("OIDC_OP_TOKEN_ENDPOINT")
    OIDC_OP_USER_ENDPOINT = env.str("OIDC_OP_USER_ENDPOINT")
    OIDC_OP_JWKS_ENDPOINT = env.str("OIDC_OP_JWKS_ENDPOINT")
    OIDC_RP_SIGN_ALGO = "RS256"
    OIDC_CREATE_USER = False
    OIDC_USE_PKCE = True
    OIDC_TIMEOUT = 10
    LOGIN_REDIRECT_URL, LOGIN_REDIRECT_URL_FAILURE = "/admin/", "/admin/login/?refused=1"
