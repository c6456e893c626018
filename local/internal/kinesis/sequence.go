package kinesis

// sequence is what a sequence number is made of (spec retrieval-and-lifecycle.md 1.7). Within a shard, index alone
// decides the order; between a parent and its child the creation time does, because it holds the highest bits.
type sequence struct {
	created int64  // seconds since the epoch; unique to a generation of a stream's shards
	shard   uint32 // the number in the shard's ID
	index   uint64 // 0 is the start of the shard, the first record has 1
	at      int64  // seconds since the epoch at which the record was put
}

// The fields of the number, by their lowest bit.
const (
	sequenceVersion = 2
	shardBit        = 4
	timeBit         = 36
	indexBit        = 80
	nibbleBit       = 144
	createdBit      = 148
	topBit          = 184

	secondsMask = 1<<36 - 1 // both times have 36 bits
	wordBits    = 64
)

// append appends the decimal form of s: 56 digits.
func (s sequence) append(b []byte) []byte {
	at := uint64(s.at) & secondsMask
	created := uint64(s.created) & secondsMask
	n := wide{
		2<<(topBit-2*wordBits) | created<<(createdBit-2*wordBits) | uint64(s.shard&0xf)<<(nibbleBit-2*wordBits) |
			s.index>>(2*wordBits-indexBit),
		s.index<<(indexBit-wordBits) | at>>(wordBits-timeBit),
		at<<timeBit | uint64(s.shard)<<shardBit | sequenceVersion,
	}
	return n.append(b)
}

// String is the decimal form.
func (s sequence) String() string { return string(s.append(make([]byte, 0, 60))) }

// parseSequence takes a sequence number apart. It is false for text that no shard of any stream has issued.
func parseSequence(text string) (sequence, bool) {
	n, ok := parseWide(text)
	if !ok || n[0]>>(topBit-2*wordBits) != 2 || n[2]&0xf != sequenceVersion {
		return sequence{}, false
	}
	s := sequence{
		created: int64(n[0] >> (createdBit - 2*wordBits) & secondsMask),
		shard:   uint32(n[2] >> shardBit),
		index:   n[0]<<(2*wordBits-indexBit) | n[1]>>(indexBit-wordBits),
		at:      int64((n[1]<<(wordBits-timeBit) | n[2]>>timeBit) & secondsMask),
	}
	if n[1]>>(indexBit-wordBits-8)&0xff != 0 || uint64(s.shard&0xf) != n[0]>>(nibbleBit-2*wordBits)&0xf {
		return sequence{}, false
	}
	return s, true
}
