def test_it_is_there():
    pass
