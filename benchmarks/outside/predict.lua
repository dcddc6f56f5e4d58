-- GET /predict of another node each time.
-- Arguments: the number of nodes; the exponent of their popularity, 0 where all are asked for equally often
local nodes, exponent

function init(arguments)
  nodes, exponent = tonumber(arguments[1]), tonumber(arguments[2])
  math.randomseed(1)
end

function request()
  local node
  if exponent == 0 then
    node = math.random(0, nodes - 1)
  else
    -- As in popularity.py.
    node = math.floor((1 - math.random()) ^ (-1 / (exponent - 1))) * 7919 % nodes
  end
  return wrk.format("GET", string.format("/predict/%d", node))
end
