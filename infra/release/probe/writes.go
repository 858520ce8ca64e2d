package probe

import "bookshelf/infra/release"

// Write is one write of a run.
type Write struct {
	// Key is what it is found by in the database.
	Key string
	// Acknowledged says that the service answered it as expected: it has to be there.
	Acknowledged bool
}

// Written lists the writes that were due so far, in this order, also those that could not be sent.
func (p *Probe) Written() []Write {
	p.ledger.mu.Lock()
	defer p.ledger.mu.Unlock()
	var all []Write
	for n, r := range p.ledger.records {
		if r.kind != read {
			key := p.words.fill(p.config.Write.Key, n, len(all))
			all = append(all, Write{Key: key, Acknowledged: r.outcome == answered})
		}
	}
	return all
}

// Reckon compares writes with the keys that were found in the database. Keys that are of no write are passed over: they belong to
// somebody else.
func Reckon(keys []string, written []Write) release.Writes {
	found := make(map[string]int, len(written))
	for _, key := range keys {
		found[key]++
	}
	w := release.Writes{Sent: len(written)}
	for _, one := range written {
		times := found[one.Key]
		switch {
		case times == 1:
			w.Once++
		case times > 1:
			w.Twice++
		case one.Acknowledged:
			w.Missing++
		}
		if one.Acknowledged {
			w.Acknowledged++
		} else if times > 0 {
			w.Unacknowledged++
		}
	}
	return w
}
