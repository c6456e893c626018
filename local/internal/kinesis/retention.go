package kinesis

import "time"

type retentionInput struct {
	target
	RetentionPeriodHours *int
}

func (in *retentionInput) check() error {
	const shortest, longest = int(defaultRetention / time.Hour), int(longestRetention / time.Hour)
	switch hours := *in.RetentionPeriodHours; {
	case hours < shortest:
		return invalid("Minimum allowed retention period is %d hours. Requested retention period (%d hours) is too short.", shortest, hours)
	case hours > longest:
		return invalid("Maximum allowed retention period is %d hours. Requested retention period (%d hours) is too long.", longest, hours)
	}
	return nil
}

func (e *Engine) increaseRetention(in *retentionInput) (*none, error) {
	return nil, e.setRetention(in, func(s *stream, hours, current int) error {
		if hours < current {
			return invalid("Requested retention period (%d hours) for stream %s can not be shorter than existing retention period (%d hours). Use DecreaseRetentionPeriod API.", hours, s.name, current)
		}
		return nil
	})
}

func (e *Engine) decreaseRetention(in *retentionInput) (*none, error) {
	return nil, e.setRetention(in, func(s *stream, hours, current int) error {
		if hours > current {
			return invalid("Requested retention period (%d hours) for stream %s can not be longer than existing retention period (%d hours). Use IncreaseRetentionPeriod API.", hours, s.name, current)
		}
		return nil
	})
}

func (e *Engine) setRetention(in *retentionInput, allowed func(s *stream, hours, current int) error) error {
	if in.RetentionPeriodHours == nil {
		var bad problems
		bad.missing("retentionPeriodHours")
		return bad.err()
	}
	return e.change(in.target, func(s *stream) error {
		if err := in.check(); err != nil {
			return err
		}
		if err := allowed(s, *in.RetentionPeriodHours, int(s.retention/time.Hour)); err != nil {
			return err
		}
		s.retention = time.Duration(*in.RetentionPeriodHours) * time.Hour
		return nil
	})
}
