"""The Lua text that keeps the slots in Redis: `slots.py` once more, one atomic step a call, on Redis' own clock.

Four keys, all in one hash slot: `rows` (ZSET, id -> free at), `flights` (ZSET, id -> taken at, until it is settled),
`answers` (ZSET, the counters of the overlapping answers -> answered at) and `state` (HASH, everything else). Every
key expires, a while after the last row is free. All instants are whole microseconds; a Lua number holds them exactly
until the year 2255, but its own text form does not, hence `text`.

A call is a list of operations of four arguments each, done in their order, and then says how things stand:

    take      id  lane       life     (stops at the first that must wait; asking again for an id that has a row: yes)
    answered  id  counter|-1
    lost      id
    back      id
    refused   id  pause
    throttled -   pause
    carry     id  remaining  age|-1   (a row that a client remembers and this Redis perhaps does not; -1: settled)

All but `throttled` may be repeated without harm, for a client that does not know whether its call arrived.

Each function bears the name of the method in `slots.py` whose rule it is; a change there is a change here, and the
tests hold the two against each other. Written for this library; needs Redis 6.2 (`ZADD LT`).
"""

from __future__ import annotations

import hashlib

__all__ = ["BODY", "KEYS", "SCRIPT", "SHA", "key_names"]

KEYS = ("rows", "flights", "answers", "state")


def key_names(name: str) -> tuple[str, ...]:
    """The keys of a budget; the braces keep them in one slot of a Redis cluster, the number is the layout's."""
    return tuple(f"{{{name}}}:1:{key}" for key in KEYS)


_CLOCK = """
local function clock()
  local t = redis.call('TIME')
  return t[1] * 1000000 + t[2]
end
"""

BODY = """
local FAR = 9007199254740991
local rows, flights, answers, state = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local known, newborn = ARGV[1], ARGV[2]
local limit, hold, late, soon = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local headroom, patience, obey = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local SHARED_FOR, MOST_MARGIN, SILENT = tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
local careful, unsure = tonumber(ARGV[13]), tonumber(ARGV[14])
local listen, heard = tonumber(ARGV[15]), tonumber(ARGV[16])
local FIRST_OPERATION = 17

-- 'none' is -1 for a counter, FAR or 0 for an instant, '' for an id.
local s = {era = '', now = 0, offset = 0, highest = -1, ends = FAR, newest_sent = 0, began = 0, since = 0,
           told_at = 0, paused_until = 0, shared_until = 0, alone_until = 0, margin = 0, cold = obey, cold_since = 0,
           probe = '', probe_until = 0, silent = 0, throttled = 0, answer = 0}

local function load_state()
  local flat = redis.call('HGETALL', state)
  for i = 1, #flat, 2 do
    if type(s[flat[i]]) == 'number' then s[flat[i]] = tonumber(flat[i + 1]) else s[flat[i]] = flat[i + 1] end
  end
end

local function save_state()
  local flat = {}
  for field, value in pairs(s) do
    flat[#flat + 1] = field
    flat[#flat + 1] = value
  end
  redis.call('HSET', state, unpack(flat))
end

load_state()
local now = clock() + s.offset
if now < s.now then               -- Redis' clock was set back: time stands still, instead of every row waiting longer
  s.offset = s.offset + s.now - now
  now = s.now
end
s.now = now

local function text(instant) return string.format('%.0f', instant) end

local function used() return redis.call('ZCARD', rows) end

local function free_by(instant) return redis.call('ZCOUNT', rows, '-inf', text(instant)) end

-- When the next row is `before` from coming free.
local function next_after(before)
  local least = '(' .. text(now + before)
  local free_at = redis.call('ZRANGEBYSCORE', rows, least, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
  return free_at and tonumber(free_at) - before or FAR
end

local function move_earlier(id, free_at) redis.call('ZADD', rows, 'XX', 'LT', text(free_at), id) end

local function began_after(sent)
  if sent > s.began then s.began, s.since = sent, now end
end

local function forget_counter()
  redis.call('DEL', answers)
  s.highest, s.ends = -1, FAR
end

local function forget()
  forget_counter()
  s.probe, s.silent = '', 0
  s.cold, s.cold_since = obey, now
end

-- End the flight; when it was taken, or nil if it was settled before.
local function land(id)
  local sent = tonumber(redis.call('ZSCORE', flights, id) or nil)
  redis.call('ZREM', flights, id)
  return sent
end

local function pass_time()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', rows, '-inf', text(now))) do
    land(id)
    redis.call('ZREM', rows, id)
  end
  if now >= s.ends then
    began_after(s.newest_sent)
    forget_counter()
    if now < s.shared_until then forget() end
  end
  if now >= s.shared_until then s.margin = 0 end
end

local function may_still_arrive() return used() - free_by(now + hold) end

local function perhaps_counted() return used() - free_by(s.began + hold) end

local function free_here() return limit - used() end

local function answered_ours() return perhaps_counted() - may_still_arrive() end

local function young_until() return s.ends >= FAR and FAR or s.ends - hold + listen end

local function is_unsure() return now >= s.shared_until and now >= s.alone_until end

local function margin_now()
  if now < s.shared_until then
    local since = math.floor(limit * (now - s.told_at) / hold)
    return s.margin + math.min(since, math.floor(limit * 2 / 5))
  end
  if is_unsure() then
    return now >= young_until() and may_still_arrive() == 0 and careful or unsure
  end
  return s.highest <= answered_ours() and 0 or careful
end

local function free_there()
  if s.highest < 0 then return limit end
  return limit - margin_now() - s.highest - may_still_arrive()
end

local function free()
  pass_time()
  return math.min(free_here(), free_there())
end

local function room_until(more_come, left)
  if left >= headroom then return 0 end
  if left < 1 or more_come >= FAR then return FAR end
  return more_come - left * soon + math.floor(soon / 2)
end

local function room_from()
  if headroom == 0 then return now end
  local from, left = room_until(s.ends, free_there() - 1), free_here() - 1
  local flat = left < headroom and redis.call('ZRANGE', rows, 0, headroom - left - 1, 'WITHSCORES') or {}
  for i = 2, (headroom - left) * 2, 2 do
    from = math.max(from, room_until(flat[i] and tonumber(flat[i]) or FAR, left))
    left = left + 1
  end
  if s.highest < 0 or may_still_arrive() > 0 then return from end
  return math.min(from, s.told_at + heard)
end

local function is_probing() return s.probe ~= '' and now < s.probe_until end

local function take(id, lane, life)
  if redis.call('ZSCORE', rows, id) then return true end
  if now < s.paused_until then return false end
  local left = free()
  if is_probing() or left < 1 or (lane > 0 and room_from() > now) then return false end
  redis.call('ZADD', rows, text(now + life + late + hold), id)
  redis.call('ZADD', flights, text(now), id)
  if s.cold == 1 then s.probe, s.probe_until = id, now + patience end
  return true
end

local function note_answer(count, sent)
  s.answer = s.answer + 1
  redis.call('ZADD', answers, text(now), count .. ':' .. text(sent) .. ':' .. s.answer)
end

local function unseen()
  if s.highest < 0 then return end
  if s.highest == 0 then s.ends = now + hold end
  s.highest = s.highest + 1
  note_answer(s.highest, 0)
end

local function told_by(answer)
  local count, sent = string.match(answer, '^(%d+):(%d+)')
  return tonumber(count), tonumber(sent)
end

local function observe(sent, count)
  s.told_at = now
  s.newest_sent = math.max(s.newest_sent, sent)
  note_answer(count, sent)
  local before = '(' .. text(s.newest_sent)
  local dropped = redis.call('ZRANGEBYSCORE', answers, '-inf', before)
  redis.call('ZREMRANGEBYSCORE', answers, '-inf', before)
  local highest = 0
  for _, answer in ipairs(redis.call('ZRANGE', answers, 0, -1)) do highest = math.max(highest, (told_by(answer))) end
  if count == 0 then began_after(sent) end
  for _, answer in ipairs(dropped) do
    local counter, taken = told_by(answer)
    if count > 0 and counter > highest then began_after(taken) end
  end
  if s.highest <= 0 or highest < s.highest then s.ends = highest > 0 and now + hold or FAR end
  s.highest = highest
end

local function look_for_strangers(sent, count)
  local ours = sent >= s.since and perhaps_counted() or used()
  if count > ours then
    s.shared_until = now + SHARED_FOR * hold
    s.margin = math.max(s.margin, careful)
  elseif (count == 1 or now >= young_until()) and math.max(s.highest, 0) <= answered_ours() then
    s.alone_until = now + SHARED_FOR * hold
  end
end

local function warm(told)
  s.probe = ''
  s.silent = told and 0 or s.silent + 1
  if told or s.silent >= SILENT then s.cold, s.silent = 0, 0 end
end

local function answered(id, count)
  pass_time()
  local sent = land(id)
  if not sent then return end
  move_earlier(id, now + hold)
  if sent < s.cold_since then return end
  warm(count >= 0)
  if count < 0 then return unseen() end
  if obey == 1 then
    observe(sent, count)
    look_for_strangers(sent, count)
  end
end

local function lost(id)
  if land(id) then move_earlier(id, now + late + hold) end
end

local function give_back(id)
  if land(id) then redis.call('ZREM', rows, id) end
  if s.probe == id then s.probe = '' end
end

local function throttled(pause)
  s.throttled = s.throttled + 1
  s.paused_until = math.max(s.paused_until, now + pause)
  forget()
  s.shared_until = now + SHARED_FOR * hold
  s.margin = math.min(MOST_MARGIN, math.max(2, s.margin * 2), math.floor(limit / 2))
end

local function carry(id, remaining, age)
  if redis.call('ZSCORE', rows, id) then
    if age < 0 then land(id) end
    move_earlier(id, now + remaining)
    return
  end
  redis.call('ZADD', rows, text(now + remaining), id)
  if age >= 0 then redis.call('ZADD', flights, text(now - age), id) end
  if s.cold_since < now then forget() end     -- requests that this Redis knows nothing of: ask the server anew
end

local function next_change()
  if s.paused_until > now then return s.paused_until end
  local instants = {next_after(0), s.ends, young_until()}
  if s.probe ~= '' then instants[#instants + 1] = s.probe_until end
  if headroom > 0 and free() > 0 then instants[#instants + 1] = room_from() end
  if s.highest >= 0 then instants[#instants + 1] = next_after(hold) end
  local first = FAR
  for _, instant in ipairs(instants) do
    if instant > now then first = math.min(first, instant) end
  end
  return first
end

-- When each row comes free, from now: for whoever waits to reckon how long it will be.
local function cooling()
  local list, flat = {}, redis.call('ZRANGE', rows, 0, -1, 'WITHSCORES')
  for i = 2, #flat, 2 do list[#list + 1] = tonumber(flat[i]) - now end
  return list
end

local function expire()
  local last = tonumber(redis.call('ZRANGE', rows, -1, -1, 'WITHSCORES')[2] or 0)
  local till = math.max(last, s.paused_until, s.shared_until, now) + hold - now
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, text(math.ceil(till / 1000) + 1000)) end
end

-- Whoever remembers another era has rows that this Redis forgot: nothing is granted until they are carried over.
local stranger = known ~= '' and known ~= s.era
if s.era == '' then s.era = newborn end

local granted, denied = 0, stranger
for i = FIRST_OPERATION, #ARGV, 4 do
  local op, id, a, b = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
  if op == 'take' then
    denied = denied or not take(id, a, b)
    if not denied then granted = granted + 1 end
  elseif op == 'answered' then answered(id, a)
  elseif op == 'lost' then lost(id)
  elseif op == 'back' then give_back(id)
  elseif op == 'refused' then
    give_back(id)
    throttled(a)
  elseif op == 'throttled' then throttled(a)
  elseif op == 'carry' then carry(id, a, b)
  end
end

local left = free()
local change = next_change()
local own = limit - used()
local by_answer = own > 0 and now >= s.paused_until and (is_probing() or left < own)
save_state()
expire()
return {s.era, granted, left, used(), redis.call('ZCARD', flights),
        change < FAR and change - now or -1,
        math.max(0, s.paused_until - now), now < s.shared_until and 1 or 0, s.throttled,
        by_answer and 1 or 0, s.highest, s.highest < 0 and 0 or margin_now(),
        s.ends < FAR and s.ends - now or -1, is_unsure() and s.ends < FAR and young_until() - now or -FAR - 1,
        (denied or left <= headroom) and cooling() or {}}
"""

SCRIPT = _CLOCK + BODY
SHA = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
"""The name under which Redis keeps the script."""
