package probe

// kind is what a request is about.
type kind uint8

const (
	read kind = iota
	write
	slow // a write whose body is sent bit by bit
)

func (k kind) String() string { return [...]string{"read", "write", "slow"}[k] }

// kindOf says what the n-th request is about and whether it has a connection of its own. It mixes the two evenly, also over short
// times, by the additive sequence R2 (Martin Roberts, "The Unreasonable Effectiveness of Quasirandom Sequences", 2018).
func (c Config) kindOf(n int) (k kind, fresh bool) {
	const (
		alpha1 = 3242174889 // 2³² / 1.32471795724…
		alpha2 = 2447445413 // 2³² / 1.32471795724…²
	)
	u := float64(uint32(n)*alpha1) / (1 << 32)
	fresh = float64(uint32(n)*alpha2)/(1<<32) < c.Fresh
	switch {
	case u < c.Shares.Slow:
		return slow, fresh
	case u < c.Shares.Slow+c.Shares.Write:
		return write, fresh
	default:
		return read, fresh
	}
}
