-- GET /predict of a random node each time; the number of nodes is the only argument
local nodes

function init(arguments)
  nodes = tonumber(arguments[1])
  math.randomseed(1)
end

function request()
  return wrk.format("GET", "/predict/" .. math.random(0, nodes - 1))
end
