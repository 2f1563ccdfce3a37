throw new Error("this function never loads");
