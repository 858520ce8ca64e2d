package modules

import (
	"slices"
	"testing"
)

func TestTheEnvironmentOfAModule(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		module Module
		base   []string
		want   []string
	}{
		"in the workspace":     {Module{Workspace: true}, []string{"A=1"}, []string{"A=1", "GOWORK="}},
		"alone":                {Module{}, nil, []string{"GOWORK=off"}},
		"under a tag":          {Module{Tag: "x"}, nil, []string{"GOWORK=off", "GOFLAGS=-tags=x"}},
		"under a tag, flagged": {Module{Tag: "x"}, []string{"GOFLAGS=-mod=mod"}, []string{"GOFLAGS=-mod=mod", "GOWORK=off", "GOFLAGS=-mod=mod -tags=x"}},
	} {
		if got := test.module.Env(test.base); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestUnderATagOnlyWhatItChangesIsTested(t *testing.T) {
	t.Parallel()
	if got := (Module{Name: "app"}).Tested(); !slices.Equal(got, []string{"./..."}) {
		t.Errorf("of a module %q is tested, want all", got)
	}
	for _, m := range Tagged("/clone") {
		if m.Dir != "/clone/app" || m.Tag == "" || len(m.Tested()) == 0 || slices.Contains(m.Tested(), "./...") {
			t.Errorf("%+v", m)
		}
	}
}
