-- Renews a worker's lease, or gives it back, where the worker is still the owner.
-- KEYS: lease, owner. ARGV: worker, milliseconds the lease lasts ('0' gives it back).
-- Answers: 1 where it is the owner, else 0.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then
  return 0
end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1], KEYS[2])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return 1
