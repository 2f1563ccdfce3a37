int hd_a(void)
{
  return 1;
}
