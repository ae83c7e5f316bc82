"""phase3_baselines: what other models translate, beside the model of phase 3. Off unless `HLX_BASELINES` is set."""
