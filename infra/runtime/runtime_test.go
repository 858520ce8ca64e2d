package runtime

import "testing"

func TestAPartIsDescribedWithTheReason(t *testing.T) {
	t.Parallel()
	for want, instance := range map[string]Instance{
		"healthy":               {State: StateHealthy},
		"stopped (exit code 1)": {State: StateStopped, ExitCode: 1},
		"stopped (killed for using more than its 64 MiB)": {State: StateStopped, ExitCode: 137, KilledForMemory: true, MemoryBytes: 64 << 20},
	} {
		if got := instance.Describe(); got != want {
			t.Errorf("Describe = %q, want %q", got, want)
		}
	}
}
