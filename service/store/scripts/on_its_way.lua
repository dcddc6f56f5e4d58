-- What the batches after a position may add to the graph, which the worker has not reported yet.
-- KEYS: admitted. ARGV: position that the worker has reported.
-- Answers: {} | {sums with the first one after it, its own sizes, sums with the last one, position of the last one}
redis.call('XTRIM', KEYS[1], 'MINID', ARGV[1])
local first = redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', 1)[1]
if not first then
  return {}
end
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
return {first[2][2], first[2][4], last[2][2], last[1]}
