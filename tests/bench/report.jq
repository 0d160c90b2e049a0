# From the results, one JSON object a line, to a table for each part, volume and set.

def median: sort | if length == 0 then null else .[length / 2 | floor] end;
def rounded($n): . * pow(10; $n) | round / pow(10; $n);
def times: if . == null then "" else "\(rounded(2))×" end;

# One row: a tool's median, spread, ratio to the first one's, memory, size.
def row($base):
	(map(.wall // empty)) as $walls
	| (map(.memory // empty) | max) as $memory
	| (map(.bytes // empty) | first) as $bytes
	| (map(.["per second"] // empty) | median) as $rate
	| ($walls | median) as $middle
	| [ .[0].tool,
	    ($middle | if . then rounded(3) else "" end),
	    (if $walls == [] then "" else "\($walls | min | rounded(3))–\($walls | max | rounded(3))" end),
	    (if $middle and $base then $middle / $base | times else "" end),
	    (if $memory then $memory / 1024 | rounded(1) else "" end),
	    (if $bytes then $bytes / 1e6 | rounded(2) elif $rate then "\($rate | round)/s" else "" end) ]
	| "| " + (map(tostring) | join(" | ")) + " |";

# Ours is what the others are measured by.
def ours: .[0].tool | IN("decant", "decant-pack", "lean");

group_by([.part, .volume, .set])[]
| group_by(.tool) as $tools
| ($tools | map(select(ours)) | first | if . then map(.wall // empty) | median else null end) as $base
| "\n## \(.[0].part), \(.[0].volume), \(.[0].set)\n",
  "| | median | range | × decant | memory, MiB | MB |",
  "|---|---|---|---|---|---|",
  ($tools | sort_by(map(.wall // empty) | median) | .[] | row($base))
