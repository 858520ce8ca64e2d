// The commands that prepare a machine for this repository. Standard library only, and not in go.work, so that they run
// before anything else can be fetched: GOWORK=off go run -C tools ./doctor
module bookshelf/tools

go 1.26.1
