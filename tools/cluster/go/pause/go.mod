module bzzz.dev/tools/cluster/pause

go 1.21
