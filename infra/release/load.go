package release

import (
	"context"
	"fmt"
	"time"

	"bookshelf/infra/release/verdict"
)

// bear puts the same load on both slots, past the edge's weights, before the new one gets any traffic. What one turn leaves uncertain is
// tried by another, as long as the profile holds.
func (x *run) bear(ctx context.Context) error {
	turn := x.profile.Load
	looks := 1 + int(x.profile.Hold/turn)
	var met verdict.Loaded
	for deadline := time.Now().Add(turn + x.profile.Hold); ; {
		var more map[string]verdict.Sample
		err := within(ctx, turn+x.profile.Smoke, "put a load on both slots", func(ctx context.Context) (err error) {
			more, err = x.LoadBoth(ctx, x.profile.LoadRate, turn, x.profile.Rules.Fewest)
			return err
		})
		if err != nil {
			return err
		}
		met.New.Add(more[x.record.To.Slot])
		met.Old.Add(more[x.record.From.Slot])
		crashed, unknown := x.alive(ctx, x.record.To.Slot)
		if crashed != nil {
			return fmt.Errorf("under load: %w", crashed)
		}
		v := Verdict{At: time.Now(), Phase: PhaseLoad, Verdict: verdict.JudgeLoad(met, unknown, looks, x.profile.Rules)}
		x.watch.keep(v)
		x.tell(Progress{Phase: PhaseLoad, Verdict: &v})
		switch {
		case v.Decision == verdict.Pass:
			x.watch.warm = time.Now()
			return nil
		case v.Decision == verdict.Fail:
			return fmt.Errorf("under load: %s", v.Why())
		case !time.Now().Before(deadline):
			return fmt.Errorf("under load: nothing certain for %s: %s", short(turn+x.profile.Hold), v.Why())
		}
	}
}
