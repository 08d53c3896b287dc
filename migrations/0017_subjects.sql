-- Place of 0017; its owner fills it.
SELECT 1;
