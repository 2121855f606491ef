-- Take calls from a provider's shared token bucket, which holds a tenth of a second's worth, but at least one.
-- KEYS: the bucket.  ARGV: calls a second, calls wanted.
-- Returns {calls granted, seconds until the next}.
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local rate, wanted = tonumber(ARGV[1]), tonumber(ARGV[2])
local most = math.max(1, rate / 10)
local bucket = redis.call('HMGET', KEYS[1], 'calls', 'at')
local calls, at = tonumber(bucket[1] or most), tonumber(bucket[2] or now)
calls = math.min(most, calls + math.max(0, now - at) * rate)
local granted = math.min(wanted, math.floor(calls))
calls = calls - granted
redis.call('HSET', KEYS[1], 'calls', tostring(calls), 'at', string.format('%.6f', now))
redis.call('EXPIRE', KEYS[1], 60)
return {granted, tostring(math.max(0, (1 - calls) / rate))}
