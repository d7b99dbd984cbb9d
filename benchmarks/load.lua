-- One request after another for wrk, no two of them alike: the same texts as made_up.py makes.
--
-- Arguments after "--": "event", "list" or "push"; a prefix for the path; the number of the first
-- event or push; how many exports or groups; events of a list or samples of a push; when the
-- first run of every export began, in Unix seconds.

local PARTNERS = { [0] = "Amazon S3", "Google Cloud Storage", "Microsoft Azure" }
local TYPES = { [0] = "Events", "Profiles", "Campaigns" }
local INTERVAL, DURATION = 4 * 3600, 600

local kind, prefix, number, spread, many, began
local dates = {}

local function date(turn)
  local text = dates[turn]
  if not text then
    local at = began + math.floor(turn / 2) * INTERVAL + (turn % 2) * DURATION
    text = os.date("!%d/%m/%Y %I:%M:%S %p", at)
    dates[turn] = text
  end
  return text
end

local function event(n)
  local export, turn = n % spread, math.floor(n / spread)
  return string.format(
    '{"Export Request Id": %d, "Partner": "%s", "Type": "%s", "Status": "%s", '
      .. '"Frequency": "Every 4 hours", "Date and Time": "%s"}',
    1000000000 + export, PARTNERS[export % 3], TYPES[math.floor(export / 3) % 3],
    turn % 2 == 0 and "Initiated" or "Completed", date(turn)
  )
end

local function samples(n)
  local lines = {}
  for index = 0, many - 1 do
    lines[index + 1] = string.format("# TYPE bench_%d gauge\nbench_%d %d\n", index, index, n)
  end
  return table.concat(lines)
end

function init(args)
  kind, prefix = args[1], args[2]
  number, spread, many, began = tonumber(args[3]), tonumber(args[4]), tonumber(args[5]), tonumber(args[6])
  wrk.headers["Content-Type"] = kind == "push" and "text/plain; version=0.0.4" or "application/json"
end

function request()
  local n = number
  if kind == "push" then
    number = number + 1
    return wrk.format("PUT", prefix .. "/metrics/job/bench/instance/" .. n % spread, nil, samples(n))
  end
  if kind == "event" then
    number = number + 1
    return wrk.format("POST", prefix .. "/webhooks/clevertap/bench", nil, event(n))
  end
  number = number + many
  local events = {}
  for index = 0, many - 1 do
    events[index + 1] = event(n + index)
  end
  return wrk.format("POST", prefix .. "/webhooks/clevertap/bench", nil, "[" .. table.concat(events, ",") .. "]")
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout
  ))
end
