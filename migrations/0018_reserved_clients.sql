-- Place of 0018; its owner fills it.
SELECT 1;
