//go:build faults

package bookd

import (
	"bookshelf/app/internal/config"
	"bookshelf/app/internal/faults"
)

// faultPlan is how this build misbehaves.
type faultPlan = faults.Plan

// loadFaults reads the plan from the environment. A fault that does not exist is wrong usage.
func loadFaults(lookup config.Lookup) (faultPlan, error) {
	plan, err := faults.Load(lookup)
	if err != nil {
		return faultPlan{}, &usageError{text: err.Error()}
	}
	return plan, nil
}
