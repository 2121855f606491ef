-- Decide how many calls a breaker admits.
-- KEYS: state, window.  ARGV: probe id, probe timeout, ramp seconds, calls in the ramp's first second,
-- longest pause, calls wanted.
-- An implausible future time comes from a clock corrected since, and counts as past.
-- Returns {verdict, seconds until the next chance, calls}; the verdict is closed, ramping, probe or refused.
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local state = redis.call('HGET', KEYS[1], 'state') or 'closed'
local wanted = tonumber(ARGV[6])

local function number(field)
  return tonumber(redis.call('HGET', KEYS[1], field) or '0')
end

if state == 'closed' then
  -- Ramp up a recovered provider: traffic doubles each second.
  local since = now - number('closed_at')
  if since >= tonumber(ARGV[3]) or since < 0 then
    return {'closed', '0', wanted}
  end
  local second = math.floor(since)
  local left = tonumber(ARGV[4]) * 2 ^ second - number('ramp:' .. second)
  local granted = math.min(wanted, left)
  if granted > 0 then
    redis.call('HINCRBY', KEYS[1], 'ramp:' .. second, granted)
    return {'ramping', '0', granted}
  end
  return {'refused', tostring(second + 1 - since), 0}
end

local wait = (state == 'open' and number('retry_at') or number('probe_until')) - now
local longest = tonumber(state == 'open' and ARGV[5] or ARGV[2])
if wait > 0 and wait <= longest then
  return {'refused', tostring(wait), 0}
end
-- A single probe; if its process dies, another may follow after the probe timeout.
redis.call('HSET', KEYS[1], 'state', 'half_open', 'probe', ARGV[1], 'probe_until', string.format('%.6f', now + ARGV[2]))
return {'probe', '0', 1}
