package guard

import (
	"testing"
)

func TestNoClientHasMoreThanHalf(t *testing.T) {
	t.Parallel()
	c := newCapacity(10)
	steps := []struct {
		client string
		n      int64 // given back when negative
		want   bool
	}{
		{"a", 3, true}, {"a", 2, true}, {"a", 1, false}, // half
		{"b", 4, true}, {"c", 2, false}, {"c", 1, true}, // full
		{"d", 1, false}, {"a", -5, true}, {"d", 5, true},
		{"d", -5, true}, {"b", -4, true}, {"c", -1, true},
		{"e", 100, true}, {"f", 1, false}, {"e", -100, true}, // alone
	}
	for i, step := range steps {
		if step.n < 0 {
			c.give(step.client, -step.n)
		} else if got := c.take(step.client, step.n); got != step.want {
			t.Errorf("step %d: take %d for %s = %v, want %v", i, step.n, step.client, got, step.want)
		}
	}
	if c.used != 0 || len(c.by) != 0 {
		t.Errorf("in the end %d are used by %d clients", c.used, len(c.by))
	}
}
