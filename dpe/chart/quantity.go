package chart

import (
	"math/big"
	"regexp"
	"slices"
)

// quantity is a Kubernetes quantity as the charts take it: definitions/quantity of values.schema.json.
var quantity = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?$`)

// maxQuantity bounds what is read as a quantity, in bytes: Kubernetes' own have no more than 64 bits.
const maxQuantity = 40

// Quantity is an amount of CPUs or bytes, as Kubernetes writes it. The zero value is none: use [ParseQuantity].
type Quantity struct {
	amount *big.Rat
	binary bool // it is written in powers of 1024
}

// suffix is a unit of quantities.
type suffix struct {
	name string
	unit *big.Rat
}

// suffixes lists the units, the largest first.
func suffixes(binary bool) []suffix {
	names, base := []string{"", "k", "M", "G", "T"}, int64(1000)
	if binary {
		names, base = []string{"", "Ki", "Mi", "Gi", "Ti"}, 1024
	}
	out, unit := make([]suffix, len(names)), big.NewRat(1, 1)
	for i, name := range names {
		out[i] = suffix{name, new(big.Rat).Set(unit)}
		unit.Mul(unit, big.NewRat(base, 1))
	}
	if !binary {
		out = append([]suffix{{"m", big.NewRat(1, 1000)}}, out...)
	}
	slices.Reverse(out)
	return out
}

// ParseQuantity reads a quantity. It tells whether s is one that a chart takes.
func ParseQuantity(s string) (Quantity, bool) {
	m := quantity.FindStringSubmatch(s)
	if m == nil || len(s) > maxQuantity {
		return Quantity{}, false
	}
	q := Quantity{binary: len(m[2]) == 2}
	q.amount, _ = new(big.Rat).SetString(m[1])
	for _, x := range suffixes(q.binary) {
		if x.name == m[2] {
			q.amount.Mul(q.amount, x.unit)
		}
	}
	return q, true
}

// Cmp compares amounts: -1 if q is less than o, +1 if it is more.
func (q Quantity) Cmp(o Quantity) int { return q.amount.Cmp(o.amount) }

// Of tells whether q is a whole number of units.
func (q Quantity) Of(unit Quantity) bool { return new(big.Rat).Quo(q.amount, unit.amount).IsInt() }

// String writes q as Kubernetes does: with the largest unit that leaves a whole number. What is finer than the smallest unit is
// rounded up.
func (q Quantity) String() string {
	all := suffixes(q.binary)
	for _, x := range all {
		if n := new(big.Rat).Quo(q.amount, x.unit); n.IsInt() {
			return n.Num().String() + x.name
		}
	}
	smallest := all[len(all)-1]
	n := new(big.Rat).Quo(q.amount, smallest.unit)
	up := new(big.Int).Add(new(big.Int).Quo(n.Num(), n.Denom()), big.NewInt(1))
	return up.String() + smallest.name
}
