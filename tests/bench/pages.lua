-- For wrk: asks for the pages of a list, in turn, over and over.
local pages, at = {}, 0

function init(args)
	for line in io.lines(args[1]) do
		pages[#pages + 1] = line
	end
end

function request()
	at = at % #pages + 1
	return wrk.format("GET", pages[at])
end
