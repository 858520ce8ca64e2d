package stack

import (
	"testing"
	"time"
)

func TestAnEngineMessageIsReducedToWhatItSays(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"<{%fg 1%}>\nport is taken\n\n<{%reset%}>":                                           "port is taken",
		"an unhandled error occurred: waiting for RPCs: resolving options: migration failed": "migration failed",
		"plain": "plain",
	} {
		if got := clean(given); got != want {
			t.Errorf("clean(%q) = %q, want %q", given, got, want)
		}
	}
}

func TestAStepReadsAsASentence(t *testing.T) {
	t.Parallel()
	step := Step{Operation: "create", Kind: "container", Resource: "app-blue", Took: 1500 * time.Millisecond}
	for want, s := range map[string]Step{
		"would create container app-blue":                 step,
		"create container app-blue …":                     {Operation: "create", Kind: "container", Resource: "app-blue", Phase: Begun},
		"create container app-blue (image): done (1.5 s)": {Operation: "create", Kind: "container", Resource: "app-blue", Phase: Ended, Took: step.Took, Because: []string{"image"}},
		"create container app-blue: failed (1.5 s)":       {Operation: "create", Kind: "container", Resource: "app-blue", Phase: Ended, Took: step.Took, Err: "failed"},
	} {
		if got := s.String(); got != want {
			t.Errorf("String() = %q, want %q", got, want)
		}
	}
}
