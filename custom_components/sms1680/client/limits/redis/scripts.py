"""The Lua scripts. Each is one transaction on the server's clock, and changes nothing if it runs twice.

All keys of an account have the same hash tag, so that they are on the same node of a cluster. Every key expires.
"""

_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local function text(number) return string.format('%.3f', number) end
"""

# A record in the future was written before the clock was set back, or on another server: its wait begins now.
_RECORD = """
local found = redis.call('HMGET', KEYS[1], 'at', 'cost', 'rate', 'slowness')
local at, cost, known = tonumber(found[1]), tonumber(found[2]) or 0, tonumber(found[3]) or 0
local slowness = tonumber(found[4]) or 1
if at and at > now then
  at = now
  redis.call('HSET', KEYS[1], 'at', text(now))
end
local age = at and now - at or -1
if known > 0 and age >= 86400000 then known = 0 end
local function record(granted)
  return {granted, text(age), text(cost), text(known), text(slowness)}
end
"""

# KEYS: record, leases, urgent packets.
# ARGV: machine and slot, lease, rate or 0, milliseconds of a lease, urgent packet or '', milliseconds of its entry,
# milliseconds of the wait that the machine itself waits once it has the lease.
# A lease of the same machine and slot belongs to a process that ended: its slot is a lock that we hold now.
ACQUIRE = f"""{_NOW}{_RECORD}
local life, urgent = tonumber(ARGV[4]), ARGV[5]
for _, lease in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')) do
  if string.sub(lease, 1, #ARGV[1]) == ARGV[1] then redis.call('ZREM', KEYS[2], lease) end
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', text(now))
redis.call('ZREMRANGEBYSCORE', KEYS[2], text(now + life + 1000), '+inf')
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', text(now))
redis.call('ZREMRANGEBYSCORE', KEYS[3], text(now + 60000), '+inf')
local rate = tonumber(ARGV[3])
if rate == 0 then rate = known end
local granted = 1
if at and age < cost * 1000 - ARGV[7] then granted = 0 end
if redis.call('ZCARD', KEYS[2]) >= (rate > 0 and 1 or 5) then granted = 0 end
if urgent == '' then
  if redis.call('ZCARD', KEYS[3]) > 0 then granted = 0 end
elseif granted == 1 then
  redis.call('ZREM', KEYS[3], urgent)
else
  redis.call('ZADD', KEYS[3], text(now + tonumber(ARGV[6])), urgent)
  redis.call('PEXPIRE', KEYS[3], 60000)
end
if granted == 1 then
  redis.call('ZADD', KEYS[2], text(now + life), ARGV[1] .. ARGV[2])
  redis.call('PEXPIRE', KEYS[2], 2 * life)
end
return record(granted)
"""

# KEYS: leases. ARGV: milliseconds of a lease, then the leases. Leases that expired begin again.
RENEW = f"""{_NOW}
for index = 2, #ARGV do
  redis.call('ZADD', KEYS[1], text(now + ARGV[1]), ARGV[index])
  redis.call('PEXPIRE', KEYS[1], 2 * ARGV[1])
end
return {{}}
"""

# KEYS: record, leases. ARGV: machine, slot and lease, 1 if submitted, 1 if too fast, items, rate or 0, step, recovery,
# slowest, milliseconds since the answer.
RELEASE = f"""{_NOW}{_RECORD}
local held = redis.call('ZREM', KEYS[2], ARGV[1])
if ARGV[2] == '1' then
  local old = slowness
  slowness = ARGV[3] == '1' and math.min(tonumber(ARGV[8]), old * 2) or math.max(1, old * ARGV[7])
  local rate = tonumber(ARGV[5])
  if rate == 0 then rate = known end
  cost = rate > 0 and ARGV[4] / rate * slowness or ARGV[6] * (slowness - 1)
  if rate > 0 or slowness > 1 or old > 1 then
    local answered = math.max(at or 0, now - ARGV[9])
    redis.call('HSET', KEYS[1], 'at', text(answered), 'cost', text(cost), 'rate', text(rate))
    redis.call('HSET', KEYS[1], 'slowness', text(slowness))
    redis.call('PEXPIRE', KEYS[1], 90000000)
  end
end
return record(held)
"""

# KEYS: record.
LOOK = f"{_NOW}{_RECORD} return record(0)"

# KEYS: urgent packets. ARGV: urgent packet, milliseconds of its entry; 0 withdraws it.
ANNOUNCE = f"""{_NOW}
if ARGV[2] == '0' then return {{redis.call('ZREM', KEYS[1], ARGV[1])}} end
redis.call('ZADD', KEYS[1], text(now + ARGV[2]), ARGV[1])
redis.call('PEXPIRE', KEYS[1], 60000)
return {{}}
"""

# KEYS: totals, then the entries of an hour, of a day, and the automatic ones of an hour; then, for each number, its
# messages of ten minutes, the count of those held back, and whether the last one sent did not announce a limit. An
# entry is `parts:number:id`.
_WINDOWS = """
local windows = {{'hour', 2, 3600000}, {'day', 3, 86400000}, {'automatic', 4, 3600000}}
local function drop(name, key, entry)
  if redis.call('ZREM', KEYS[key], entry) == 1 then
    redis.call('HINCRBY', KEYS[1], name, -string.match(entry, '^%d+'))
  end
end
for _, window in ipairs(windows) do
  local name, key = window[1], window[2]
  for _, range in ipairs({{'-inf', text(now - window[3])}, {text(now + 60000), '+inf'}}) do
    for _, entry in ipairs(redis.call('ZRANGEBYSCORE', KEYS[key], range[1], range[2], 'LIMIT', 0, 5000)) do
      drop(name, key, entry)
    end
  end
  -- The server may evict one of the keys when its memory is full.
  if redis.call('EXISTS', KEYS[key]) == 0 then
    redis.call('HDEL', KEYS[1], name)
  elseif redis.call('HEXISTS', KEYS[1], name) == 0 then
    local sum = 0
    for _, entry in ipairs(redis.call('ZRANGE', KEYS[key], 0, -1)) do sum = sum + string.match(entry, '^%d+') end
    redis.call('HSET', KEYS[1], name, sum)
    redis.call('PEXPIRE', KEYS[1], 90000000)
  end
end
"""

# ARGV: the version that the caller has read or '', the numbers, the entries to add, then for each entry: milliseconds
# since it was spent, its place in the numbers, 1 if automatic, parts, its number and id; then for each number: the
# messages to hold back, and 1 if the last one sent announces a limit, 0 if not, '' if that does not change.
# Returns 1 if this was written, the version, the totals, then for each number: its messages, those held back, and 1 if
# the last one sent did not announce a limit.
LEDGER = f"""{_NOW}{_WINDOWS}
local version = redis.call('HGET', KEYS[1], 'version') or '0'
local numbers, entries = tonumber(ARGV[2]), tonumber(ARGV[3])
local written, next = 0, 4
if entries > 0 and redis.call('ZSCORE', KEYS[3], ARGV[7] .. ':' .. ARGV[8]) then
  written = 1
elseif ARGV[1] == version then
  for _ = 1, entries do
    local at, place, automatic, parts = now - ARGV[next], tonumber(ARGV[next + 1]), ARGV[next + 2], ARGV[next + 3]
    local entry = parts .. ':' .. ARGV[next + 4]
    for _, window in ipairs(windows) do
      if at > now - window[3] and (window[1] ~= 'automatic' or automatic == '1') then
        if redis.call('ZADD', KEYS[window[2]], text(at), entry) == 1 then
          redis.call('HINCRBY', KEYS[1], window[1], parts)
        end
        redis.call('PEXPIRE', KEYS[window[2]], 90000000)
      end
    end
    if at > now - 600000 then
      redis.call('ZADD', KEYS[2 + 3 * place], text(at), entry)
      redis.call('PEXPIRE', KEYS[2 + 3 * place], 660000)
    end
    next = next + 5
  end
  for place = 1, numbers do
    local held, key = tonumber(ARGV[next]) or 0, KEYS[3 + 3 * place]
    if held ~= 0 then
      local left = redis.call('INCRBY', key, held)
      if left <= 0 then redis.call('DEL', key) else redis.call('PEXPIRE', key, 604800000) end
    end
    if ARGV[next + 1] == '0' then
      redis.call('SET', KEYS[4 + 3 * place], '1', 'PX', 604800000)
    elseif ARGV[next + 1] == '1' then
      redis.call('DEL', KEYS[4 + 3 * place])
    end
    next = next + 2
  end
  redis.call('HINCRBY', KEYS[1], 'version', 1)
  redis.call('PEXPIRE', KEYS[1], 90000000)
  written = 1
end
local answer = {{written, version}}
for _, window in ipairs(windows) do answer[#answer + 1] = redis.call('HGET', KEYS[1], window[1]) or '0' end
for place = 1, numbers do
  redis.call('ZREMRANGEBYSCORE', KEYS[2 + 3 * place], '-inf', text(now - 600000))
  answer[#answer + 1] = redis.call('ZCARD', KEYS[2 + 3 * place])
  answer[#answer + 1] = redis.call('GET', KEYS[3 + 3 * place]) or '0'
  answer[#answer + 1] = redis.call('GET', KEYS[4 + 3 * place]) or '0'
end
return answer
"""

# KEYS: as above. ARGV: entries, each with the same place as the keys of its number.
REMOVE = f"""{_NOW}{_WINDOWS}
for place = 1, #ARGV do
  for _, window in ipairs(windows) do drop(window[1], window[2], ARGV[place]) end
  redis.call('ZREM', KEYS[2 + 3 * place], ARGV[place])
end
redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('PEXPIRE', KEYS[1], 90000000)
return {{}}
"""

# KEYS: entries of a day, automatic ones of an hour. ARGV: how many at most.
ENTRIES = f"""{_NOW}
local newest = redis.call('ZREVRANGE', KEYS[1], 0, ARGV[1] - 1, 'WITHSCORES')
for index = 2, #newest, 2 do newest[index] = text(now - newest[index]) end
return {{newest, redis.call('ZREVRANGE', KEYS[2], 0, ARGV[1] - 1)}}
"""

# A message is stored as `at|outcome|id|token`, without an outcome while it is being sent.
_STORED = """
local function stored(key)
  local found = redis.call('GET', key)
  if not found then return nil end
  local at, outcome, id, token = string.match(found, '^([^|]*)|([^|]*)|([^|]*)|(.*)$')
  return {age = math.max(0, now - at), outcome = outcome, id = id, token = token}
end
local function store(key, age, outcome, id, token, left)
  redis.call('SET', key, table.concat({text(now - age), outcome, id, token}, '|'), 'PX', math.ceil(left))
end
"""

# KEYS: messages. ARGV: milliseconds of the period, of a claim, 1 if a look begins the period again, our token.
# Returns for each message '' if it is claimed now, or the milliseconds since its outcome, the outcome, and its id.
CLAIM = f"""{_NOW}{_STORED}
local period, claim, answer = tonumber(ARGV[1]), tonumber(ARGV[2]), {{}}
for index, key in ipairs(KEYS) do
  local found = stored(key)
  local claimed = found and found.outcome == ''
  if not found or (claimed and found.token == ARGV[4]) or found.age >= math.max(period, claimed and claim or 0) then
    store(key, 0, '', '', ARGV[4], math.max(period, claim))
    answer[index] = ''
  else
    if ARGV[3] == '1' and not claimed then store(key, 0, found.outcome, found.id, found.token, period) end
    answer[index] = text(found.age) .. '|' .. found.outcome .. '|' .. found.id
  end
end
return answer
"""

# KEYS: messages. ARGV: milliseconds of the period, then for each message: the milliseconds since its outcome, the
# outcome, or '' if it was not sent, its id, and the token of its claim, or '' to delete it whoever claimed it.
SETTLE = f"""{_NOW}{_STORED}
for index, key in ipairs(KEYS) do
  local age, outcome, id, token = ARGV[4 * index - 2], ARGV[4 * index - 1], ARGV[4 * index], ARGV[4 * index + 1]
  local found, left = stored(key), ARGV[1] - age
  local ours = found and (token == '' or found.token == token)
  if outcome == '' then
    if ours then redis.call('DEL', key) end
  elseif left >= 1 and (not found or ours or found.outcome == '') then
    store(key, age, outcome, id, token, left)
  end
end
return {{}}
"""

# KEYS: a key of its own. It fails on a server that cannot be written.
PROBE = "redis.call('SET', KEYS[1], '1', 'PX', 1000) return {}"
