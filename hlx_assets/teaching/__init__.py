"""teacher_requests → teacher_proposals → teacher_document: English by a language model, if `HLX_TEACHER` names one."""
