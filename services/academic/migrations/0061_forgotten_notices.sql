-- A lesson that is brought back is told of anew, should its register be missing: what was told before was withdrawn.
GRANT DELETE ON register_notice TO academic_app;
