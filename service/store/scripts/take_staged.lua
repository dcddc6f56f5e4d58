-- Puts rows that ranks have staged into a table of predictions.
-- KEYS: table, staged rows of each rank
-- Answers: number of rows
local count, pairs_at_once = 0, 1000
for rank = 2, #KEYS do
  local staged = redis.call('HMGET', KEYS[rank], 'nodes', 'rows')
  local names, rows = cmsgpack.unpack(staged[1]), staged[2]
  local nodes, removed = names[1], names[2]
  local size = #rows / math.max(#nodes, 1)
  for first = 1, #removed, pairs_at_once do
    redis.call('HDEL', KEYS[1], unpack(removed, first, math.min(first + pairs_at_once - 1, #removed)))
  end
  for first = 1, #nodes, pairs_at_once do
    local fields = {}
    for at = first, math.min(first + pairs_at_once - 1, #nodes) do
      fields[#fields + 1] = nodes[at]
      fields[#fields + 1] = string.sub(rows, (at - 1) * size + 1, at * size)
    end
    redis.call('HSET', KEYS[1], unpack(fields))
  end
  count = count + #nodes
end
return count
