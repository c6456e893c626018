package dynamo

// Sizes of a capacity unit (developer guide, "DynamoDB throughput capacity").
const (
	writeUnit = 1024
	readUnit  = 4096
)

// unitsFor is the capacity for an item of n bytes; nothing costs less than one unit.
func unitsFor(n, unit int) float64 {
	return float64(max(1, (n+unit-1)/unit))
}

// writeUnits is what one write used.
type writeUnits struct {
	table   float64
	indexes []indexUnits
}

type indexUnits struct {
	index *index
	units float64
}

// add counts a change in an index: an entry that moves is one deletion and one insertion.
func (u *writeUnits) add(x *index, was, is *row) {
	n := unitsFor(max(sizeOf(was), sizeOf(is)), writeUnit)
	if was != nil && is != nil && was.rowKey != is.rowKey {
		n = unitsFor(was.size, writeUnit) + unitsFor(is.size, writeUnit)
	}
	u.indexes = append(u.indexes, indexUnits{x, n})
}

// consumed sums up the capacity used on one table.
type consumed struct {
	name        string
	table       float64
	indexes     []indexUnits
	read, write bool // answer ReadCapacityUnits, WriteCapacityUnits too: in transactions
}

func (c *consumed) addWrite(u writeUnits, factor float64) {
	c.table += u.table * factor
	for _, i := range u.indexes {
		c.addIndex(i.index, i.units*factor)
	}
}

func (c *consumed) addIndex(x *index, units float64) {
	for i := range c.indexes {
		if c.indexes[i].index.name == x.name {
			c.indexes[i].units += units
			return
		}
	}
	c.indexes = append(c.indexes, indexUnits{x, units})
}

// write answers c as the request's ReturnConsumedCapacity asks.
func (c *consumed) writeTo(w *writer, how string) {
	total := c.table
	for _, i := range c.indexes {
		total += i.units
	}
	w.open('{')
	w.name("TableName")
	w.str(c.name)
	c.units(w, total)
	if how == "INDEXES" {
		w.name("Table")
		w.open('{')
		c.units(w, c.table)
		w.close('}')
		c.writeIndexes(w, "LocalSecondaryIndexes", false)
		c.writeIndexes(w, "GlobalSecondaryIndexes", true)
	}
	w.close('}')
}

func (c *consumed) units(w *writer, n float64) {
	w.name("CapacityUnits")
	w.float(n)
	if c.read {
		w.name("ReadCapacityUnits")
		w.float(n)
	}
	if c.write {
		w.name("WriteCapacityUnits")
		w.float(n)
	}
}

func (c *consumed) writeIndexes(w *writer, name string, global bool) {
	opened := false
	for _, i := range c.indexes {
		if i.index.global != global {
			continue
		}
		if !opened {
			w.name(name)
			w.open('{')
			opened = true
		}
		w.name(i.index.name)
		w.open('{')
		c.units(w, i.units)
		w.close('}')
	}
	if opened {
		w.close('}')
	}
}

// wantsCapacity reports whether ReturnConsumedCapacity asks for an answer.
func wantsCapacity(how string) bool { return how == "TOTAL" || how == "INDEXES" }
