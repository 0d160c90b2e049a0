# From the results, one JSON object a line, to Markdown: for each part a table of ratios and one of figures.

def median: sort | if length == 0 then null else .[length / 2 | floor] end;
def rounded($n): . * pow(10; $n) | round / pow(10; $n);
def line: "| " + (map(tostring) | join(" | ")) + " |";

# Ours is what the others are measured by; it comes first, then the fastest.
def ours: IN("decant", "decant-pack", "lean", "lean-filled");
def of($field): map(.[$field] // empty) | median;
def rate: of("per second");
def in_order: group_by(.tool) | sort_by([(.[0].tool | ours | not), of("wall")]);

def sets_in_order: ["icons", "docs", "media"] as $known | group_by([.set | if IN($known[]) then . as $s | $known | index($s) else tonumber end]);

# What stands for one tool in a row: seconds or requests of ours, of the others how many times that.
def cell($base):
	rate as $rate | of("wall") as $wall
	| if . == [] then ""
	  elif $rate then if (.[0].tool | ours) then "\($rate | round)/s" else "\($rate / ($base | rate) | rounded(2))×" end
	  elif (.[0].tool | ours) then "\($wall | rounded(2)) s"
	  else "\($wall / ($base | of("wall")) | rounded(2))×" end;

def ratios:
	(in_order | map(.[0].tool)) as $tools
	| (["", $tools[]] | line), (["---" | ., ($tools[] | "---")] | line),
	  (group_by(.volume)[] | sets_in_order[]
	   | . as $row | ($row | map(select(.tool | ours))) as $base
	   | ["\(.[0].set), \(.[0].volume)", ($tools[] | . as $tool | $row | map(select(.tool == $tool)) | cell($base))]
	   | line);

# All figures of one tool: median, spread, the largest process, size.
def figures:
	(map(.wall // empty)) as $walls
	| (map(.memory // empty) | max) as $memory
	| of("bytes") as $bytes
	| [ .[0].set, .[0].volume, .[0].tool,
	    (if $walls == [] then "" else ($walls | median | rounded(3)) end),
	    (if $walls == [] then "" else "\($walls | min | rounded(3))–\($walls | max | rounded(3))" end),
	    (of("user") as $user | of("system") as $system | if $user then "\($user + $system | rounded(2))" else "" end),
	    (if $memory then $memory / 1024 | rounded(1) else "" end),
	    (if $bytes then $bytes / 1e6 | rounded(2) else "" end) ]
	| line;

def by_part: group_by(.part);

(by_part[] | "\n## \(.[0].part | ascii_upcase[:1])\(.[0].part[1:])\n", ratios),
"\n# All figures\n",
"Seconds: median, fastest and slowest, and of all processors. MiB: the largest process at its peak. MB: what was made.",
(by_part[] | "\n## \(.[0].part)\n",
	"| set | volume | | seconds | range | CPU | MiB | MB |",
	"|---|---|---|---|---|---|---|---|",
	(group_by(.volume)[] | sets_in_order[] | in_order[] | figures))
