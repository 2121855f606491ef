"""PostgreSQL and Valkey."""

from typing import Any

from config.environment import database_url, env, number, redis_url

COMMAND_TIMEOUT_SECONDS = number("COMMAND_TIMEOUT_SECONDS", default=5, at_least=0.1)
DATABASE_URL = database_url(env.str("DATABASE_URL"), password=env.str("DATABASE_PASSWORD", default=""))
DATABASES: dict[str, Any] = {"default": env.db_url_config(DATABASE_URL, engine="database.postgresql")}
_HAS_STANDBYS = "," in str(DATABASES["default"]["HOST"])
# Statements and lock waits time out before a lease expires.
_SESSION = {
    "statement_timeout": str(int(COMMAND_TIMEOUT_SECONDS * 1000)),
    "lock_timeout": "3000",
    "idle_in_transaction_session_timeout": "15000",
    "jit": "off",
    # Batches read rows by key; on flash, random reads cost about as much as sequential ones.
    "random_page_cost": "1.1",
}
# PgBouncer refuses start-up options: behind it, each new connection runs SET.
DATABASE_POOLER = env.bool("DATABASE_POOLER", default=False)
DATABASES["default"] |= {
    "SESSION": _SESSION if DATABASE_POOLER else {},
    "CONN_MAX_AGE": 60,
    "CONN_HEALTH_CHECKS": True,
    "OPTIONS": {
        # Of several hosts each gets as long; one alone may be slow under load.
        "connect_timeout": 3 if _HAS_STANDBYS else 5,
        "keepalives_idle": 10,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 3000,  # ms without an acknowledgement from the peer
        **(
            {}
            if DATABASE_POOLER
            else {"options": " ".join(f"-c {name}={value}" for name, value in _SESSION.items())}
        ),
    }
    | DATABASES["default"].get("OPTIONS", {}),
    "TEST": {"NAME": env.str("TEST_DATABASE_NAME", default=None)},
}

# How long a request waits for a new leader before it gets 503. Below the balancer's patience with a silent node.
FAILOVER_WAIT_SECONDS = number("FAILOVER_WAIT_SECONDS", default=4 if _HAS_STANDBYS else 0, at_least=0)

# Standbys for lists and reports that tolerate replication lag, and how much: a client that wrote reads at the leader
# for as long.
REPLICA_LAG_SECONDS = number("REPLICA_LAG_SECONDS", default=10, at_least=0.1)
if env.str("DATABASE_REPLICA_URL", default=""):
    _replica = env.db_url("DATABASE_REPLICA_URL", engine="database.postgresql")
    DATABASES["replica"] = (
        DATABASES["default"]
        | _replica
        | {
            "OPTIONS": DATABASES["default"]["OPTIONS"] | _replica.get("OPTIONS", {}),
            "TEST": {"MIRROR": "default"},
        }
    )
    DATABASE_ROUTERS = ["database.replica.Router"]

REDIS_URL = env.str("REDIS_URL")
_REDIS_PASSWORD = env.str("REDIS_PASSWORD", default="")
BROKER_URL, CACHE_URL, CHANNEL_LAYER_URL, RESULTS_URL = (
    redis_url(REDIS_URL, database, password=_REDIS_PASSWORD) for database in range(4)
)

CACHE_EXPIRATION_MINUTES = number("CACHE_EXPIRATION_MINUTES", default=15, at_least=0)
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": CACHE_URL,
        "TIMEOUT": CACHE_EXPIRATION_MINUTES * 60,
        "KEY_PREFIX": "cache",
        "OPTIONS": {
            "socket_timeout": 0.5,
            "socket_connect_timeout": 0.5,
            "serializer": "database.serializer.JsonSerializer",
        },
    }
}

CHANNEL_LAYERS = {
    "default": {
        # Pub/sub survives a broker restart; clients get messages it drops from the journal.
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {
            "hosts": [
                {
                    "address": CHANNEL_LAYER_URL,
                    "socket_timeout": None,
                    "socket_connect_timeout": 5,
                    "health_check_interval": 30,
                }
            ],
            "prefix": "live",
        },
    }
}
