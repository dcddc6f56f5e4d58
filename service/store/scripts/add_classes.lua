-- Adds the arguments from ARGV[first] on to the set of classes KEYS[4], which holds at most `most`.
-- All of them or none: returns the first label that exceeds `most`, nil where all are added.
local function add_classes(most, first)
  if #ARGV < first then
    return nil
  end
  local new, free = {}, tonumber(most) - redis.call('SCARD', KEYS[4])
  for i = first, #ARGV do
    if redis.call('SISMEMBER', KEYS[4], ARGV[i]) == 0 then
      if #new >= free then
        return ARGV[i]
      end
      new[#new + 1] = ARGV[i]
    end
  end
  for _, label in ipairs(new) do
    redis.call('SADD', KEYS[4], label)
  end
  return nil
end
