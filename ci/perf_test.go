package main

import (
	"encoding/json"
	"testing"

	"dagger/bookshelf/enginetest"
	"dagger/bookshelf/plan"
)

// measure makes the load show that this image has so much of the last one's throughput.
func (b *bundle) measure(throughput float64) {
	var c plan.Comparison
	for i := range plan.RoundsAtOnce {
		c.Rounds = append(c.Rounds, plan.Round{
			Round: i, Operation: "get", This: plan.Speed{PerSecond: 1000 * throughput, P99: 0.01}, Last: plan.Speed{PerSecond: 1000, P99: 0.01},
		})
	}
	batch, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	b.Answer("stdout", `args: ["load"]`, string(batch))
	b.Answer("stdout", `args: ["token", "create"`, "bks_token\n")
	b.Answer("imageRef", "from", "registry.example/bookshelf:main@"+digest)
}

func TestASlowerImageIsRedAndItsReportsAreGivenOnRequest(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.measure(0.5)
	_, err := b.module.Perf(b.ctx, "registry.example/bookshelf:main", nil, nil, false)
	wantError(t, err, "slower than the last release", "get throughput 0.50")
	if _, err := b.module.Perf(b.ctx, "registry.example/bookshelf:main", nil, nil, true); err != nil {
		t.Fatal(err)
	}
	if !b.Asked("## Performance: worse") || !b.Asked(digest) {
		t.Error("the reports do not say that it is worse than which image")
	}
}

func TestBothServicesAskForTokensAndTheLoadHasThem(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.measure(1)
	if _, err := b.module.Perf(b.ctx, "registry.example/bookshelf:main", nil, nil, false); err != nil {
		t.Fatal(err)
	}
	if b.Asked(`name: "AUTH", value: "off"`) {
		t.Error("a service is measured without its verification of tokens")
	}
	if !b.Asked(`\"addr\":\"last:8080\",\"token\":\"bks_token\"`) {
		t.Error("the load is not told where the last release is, and by which token")
	}
}

func TestBeforeTheFirstReleaseNothingIsComparedAndItSaysSo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := b.module.Perf(b.ctx, plan.NoBaseline, nil, nil, false); err != nil {
		t.Fatal(err)
	}
	if !b.Asked("There is no last release yet") || b.Asked("postgres") {
		t.Error("the report does not say that there was nothing to compare, or something was started")
	}
}

func TestWhatCannotBeMeasuredHasNotPassed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		about string // part of the graph that fails
		want  string
	}{
		"no such baseline":          {`.imageRef`, "before there is one, say --baseline=none"},
		"a database does not start": {`"autovacuum=off"`, "start PostgreSQL"},
		"the migration fails":       {`args: ["migrate"]`, "migrate with this"},
		"no token is made":          {`args: ["token", "create"`, "make a token with this"},
		"the service does not come": {`value: "required"`, "start this"},
		"the load fails":            {`args: ["load"]`, "measure"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.measure(1)
			b.Fail(test.about, enginetest.Failure{ExitCode: 1, Stderr: "no"})
			_, err := b.module.Perf(b.ctx, "registry.example/bookshelf:main", nil, nil, true)
			wantError(t, err, test.want)
		})
	}
	b := setup(t)
	b.Answer("stdout", `args: ["load"]`, "")
	_, err := b.module.Perf(b.ctx, "registry.example/bookshelf:main", nil, nil, true)
	wantError(t, err, "read what the load has shown")
	_, err = b.module.Perf(b.ctx, "Not/A Name", nil, nil, true)
	wantError(t, err, "Not/A Name")
}
