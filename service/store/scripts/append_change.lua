-- Appends a change of the served version, once.
-- KEYS: log; with an idempotency key also its own
-- ARGV: the change (JSON), format of the entry, digest of the request, seconds to remember the key for
-- Answers: {'replayed', position} | {'reused', position} | {'appended', position}
if KEYS[2] then
  local known = redis.call('GET', KEYS[2])
  if known then
    local position, digest = string.match(known, '^(%S+) (%S+)$')
    return {digest == ARGV[3] and 'replayed' or 'reused', position}
  end
end
local now = redis.call('TIME')
local at = string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000))
local position = redis.call('XADD', KEYS[1], '*', 'version', ARGV[1], 'at', at, 'v', ARGV[2])
if KEYS[2] then
  redis.call('SET', KEYS[2], position .. ' ' .. ARGV[3], 'EX', ARGV[4])
end
return {'appended', position}
