-- Makes a worker the owner of the graph, unless another one is.
-- KEYS: lease, owner, starts
-- ARGV: worker, milliseconds the lease lasts, another worker, 'ended' where that one is known to have ended
-- Answers: {'taken', number of the start} | {'held', owner} | {'silent', owner} (its lease has run out)
-- The other worker loses the graph where it has ended, or where its lease has run out.
local lease, owner = redis.call('EXISTS', KEYS[1]) == 1, redis.call('GET', KEYS[2])
local gives_way = owner == ARGV[3] and (ARGV[4] == 'ended' or not lease)
if owner and owner ~= ARGV[1] and not gives_way then
  return {lease and 'held' or 'silent', owner}
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('SET', KEYS[2], ARGV[1])
return {'taken', redis.call('INCR', KEYS[3])}
