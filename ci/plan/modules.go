package plan

import "strings"

// Module is one Go module of the repository and what its tests see.
type Module struct {
	Dir string
	// Inputs are the paths below the root that its tests read, so that a change elsewhere does not run them again.
	Inputs []string
	// Services tells that the tests get a database and may not skip for want of a service. The others of a module need a
	// container engine, which a container does not have: `make test` runs those.
	Services bool
	// TestsOnly tells that the module has no code but tests of running containers. E2E runs those that a pipeline's engine can
	// host, and `make test` the others; there is nothing to analyse.
	TestsOnly bool
}

// Name is the module's folder as a name for files: infra-images-edge.
func (m Module) Name() string { return strings.ReplaceAll(m.Dir, "/", "-") }

// Modules is the one list of the repository's modules but the pinned tools. A test compares it with the folders that hold a go.mod.
func Modules() []Module {
	return []Module{
		{Dir: "app", Inputs: []string{"app", "docs/*.md"}, Services: true},
		{Dir: "ci", Inputs: []string{"ci", "dagger.json", "go.work", "Dockerfile", ".github", "**/go.mod"}},
		{Dir: "conformance", TestsOnly: true},
		{Dir: "infra", Inputs: []string{"infra", "docs/*.md", "docs/runbooks", "go.work"}},
		{Dir: "infra/images/edge", Inputs: []string{"infra/images/edge"}},
		{Dir: "infra/images/postgres", Inputs: []string{"infra/images/postgres"}},
		{Dir: "infra/observability/generate", Inputs: []string{
			"infra/observability/generate", "infra/observability", "infra/images/edge/contract.yaml", "app/internal/telemetry", "docs/telemetry.md", "docs/alerts.md", "docs/runbooks",
		}},
		{Dir: "tools", Inputs: []string{"tools", "go.work", "Dockerfile", "docker-compose.yml", ".golangci.yml"}},
	}
}

// Analysed are the modules whose code is tested and searched for known vulnerabilities: all that have any.
func Analysed() []Module {
	var list []Module
	for _, m := range Modules() {
		if !m.TestsOnly {
			list = append(list, m)
		}
	}
	return list
}
