"""From boxes to metrics, intervals and verdicts: functions of arrays that know no store. No torch, no ray."""
