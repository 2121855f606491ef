-- Record calls' results.
-- KEYS: state, window.  ARGV: probe id or '', successes, failures, seconds per slot, slots per window,
-- calls required for a rate, rate that opens, first pause, longest pause, seconds closed that reset the pause.
-- Returns {state before, state after}.
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local stamp = string.format('%.6f', now)
local successes, failures = tonumber(ARGV[2]), tonumber(ARGV[3])
local state = redis.call('HGET', KEYS[1], 'state') or 'closed'

local function number(field)
  return tonumber(redis.call('HGET', KEYS[1], field) or '0')
end

local function open(calls, failed)
  local openings = number('openings')
  local pause = math.min(tonumber(ARGV[8]) * 2 ^ openings, tonumber(ARGV[9]))
  redis.call('DEL', KEYS[1], KEYS[2])
  redis.call('HSET', KEYS[1], 'state', 'open', 'opened_at', stamp,
    'retry_at', string.format('%.6f', now + pause), 'openings', openings + 1,
    'calls', calls, 'failures', failed) -- for display: its window starts again
  return {state, 'open'}
end

local function close()
  local openings = number('openings')
  redis.call('DEL', KEYS[1], KEYS[2])
  redis.call('HSET', KEYS[1], 'state', 'closed', 'closed_at', stamp, 'openings', openings)
  return {state, 'closed'}
end

local function count()
  local slot = math.floor(now / ARGV[4])
  redis.call('HINCRBY', KEYS[2], slot .. ':calls', successes + failures)
  redis.call('HINCRBY', KEYS[2], slot .. ':failures', failures)
  redis.call('EXPIRE', KEYS[2], 3600)
  local sums, fields = {calls = 0, failures = 0}, redis.call('HGETALL', KEYS[2])
  for i = 1, #fields, 2 do
    local of, what = string.match(fields[i], '^(%d+):(%a+)$')
    -- Future slots come from a clock corrected since.
    if tonumber(of) <= slot - ARGV[5] or tonumber(of) > slot then
      redis.call('HDEL', KEYS[2], fields[i])
    else
      sums[what] = sums[what] + fields[i + 1]
    end
  end
  return sums
end

if state == 'open' then
  return {state, state} -- calls that were under way when it opened
end
if state == 'half_open' then
  -- Only the probe decides.
  if ARGV[1] ~= redis.call('HGET', KEYS[1], 'probe') then
    return {state, state}
  end
  if failures > 0 then
    return open(number('calls') + 1, number('failures') + 1)
  end
  return close()
end
local sums = count()
if sums.calls >= tonumber(ARGV[6]) and sums.failures >= sums.calls * ARGV[7] then
  return open(sums.calls, sums.failures)
end
if math.abs(now - number('closed_at')) > tonumber(ARGV[10]) then
  redis.call('HDEL', KEYS[1], 'openings')
end
return {state, state}
