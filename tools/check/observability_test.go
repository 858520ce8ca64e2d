package main

import (
	"strings"
	"testing"
)

func TestTheGeneratorOfRulesIsAsked(t *testing.T) {
	t.Parallel()
	const head = "package main\n\nimport (\n\t\"fmt\"\n\t\"os\"\n)\n\nfunc main() {\n"
	for name, c := range map[string]struct{ body, want string }{
		"all is as it would be written": {"\tfmt.Fprint(os.Stdout, \"\")\n", ""},
		"a file is another":             {"\tfmt.Fprintln(os.Stderr, \"docs/alerts.md is another\", os.Args[1])\n\tos.Exit(1)\n", "docs/alerts.md is another -check"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checker := repository(t, map[string]string{
				"infra/observability/generate/go.mod":  "module example.org/generate\n\ngo 1.26.0\n",
				"infra/observability/generate/main.go": head + c.body + "}\n",
			})
			complaint, err := checker.observability(t.Context())
			if err != nil || !strings.Contains(complaint, c.want) || (c.want == "") != (complaint == "") {
				t.Errorf("%q, %v; want %q", complaint, err, c.want)
			}
		})
	}
}
