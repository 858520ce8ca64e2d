package slots

// Passage follows one client's request through its attempts. It is used by one goroutine.
type Passage struct {
	table   *Table
	name    string
	counts  *counts
	replica *Replica
}

// Begin follows a new request.
func (t *Table) Begin() *Passage { return &Passage{table: t} }

// Choose picks the replica for the next attempt and returns its address, or "" when no replica is healthy. From here to the
// next Choose or to End the request is in flight there.
func (p *Passage) Choose() string {
	p.release()
	n := p.table.turn.Add(1)
	for {
		plan := p.table.routing.Load()
		slot, replica := plan.weighted.choose(n)
		if replica == nil {
			slot, replica = plan.fallback.choose(n)
		}
		if replica == nil {
			return ""
		}
		replica.inFlight.Add(1)
		// A change that came in between has seen this request, or this request sees the change. So when Set has returned, what
		// is not in flight on a removed replica will never be.
		if p.table.routing.Load() != plan {
			replica.inFlight.Add(-1)
			continue
		}
		p.name, p.counts, p.replica = replica.slot, slot.counts, replica
		return replica.address.Address
	}
}

// Slot names the slot of the last attempt, "" when there was none.
func (p *Passage) Slot() string { return p.name }

// Unreachable says that the replica of the last attempt does not accept connections. It gets no request until it answers
// for its readiness again.
func (p *Passage) Unreachable(err error) {
	if p.replica != nil {
		p.replica.setHealth(false, err.Error())
	}
}

// End says that the client has its answer, and with which status; 0 when it has none, or not the whole of it.
func (p *Passage) End(status int) {
	// Counted before it leaves: whoever sees nothing in flight sees every request counted.
	if p.counts != nil {
		p.counts.count(status)
	}
	p.release()
}

func (p *Passage) release() {
	if p.replica != nil {
		p.replica.inFlight.Add(-1)
		p.replica = nil
	}
}
